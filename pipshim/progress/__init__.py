"""Show events: live, plain, JSON and timings views."""
