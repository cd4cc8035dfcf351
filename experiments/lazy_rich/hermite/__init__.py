"""A committee machine on a polynomial of Hermite's, of higher degree."""
