"""Results of builds that were made on other machines."""
