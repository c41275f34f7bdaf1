"""Many pictures: what is to be done, what is done, and who does it."""
