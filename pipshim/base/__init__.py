"""What every other folder uses: errors, atomic writes, locks, task groups, masking."""
