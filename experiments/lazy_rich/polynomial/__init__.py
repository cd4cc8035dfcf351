"""A committee machine on squares of normals: a task with a closed form."""
