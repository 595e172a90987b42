"""What outlives the process: the database (all SQL of the project is in this folder) and the image files."""
