"""Tables 5 to 15 of the first document: its arrangement and values, with ours beside them."""
