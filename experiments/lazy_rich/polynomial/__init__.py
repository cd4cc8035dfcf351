"""A committee machine on squares of normals: the task that is known in closed form."""
