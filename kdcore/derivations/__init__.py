"""Ways to make a student from the teacher, one file each."""
