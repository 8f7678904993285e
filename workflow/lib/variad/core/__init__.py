"""What every room stands on: files, images, tables, seeds, a job's surroundings, the config. Imports no other room."""
