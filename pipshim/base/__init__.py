"""What every other folder uses: errors, atomic writes, locks, tasks, masking."""
