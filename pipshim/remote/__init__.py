"""Share results of builds with other machines."""
