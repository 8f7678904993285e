"""What a study will cost before it runs, and what it took: jobs, images, hours, disk and downloads."""
