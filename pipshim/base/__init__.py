"""What every other package uses: errors, atomic writes, locks, tasks, masking."""
