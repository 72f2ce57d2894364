"""Plans, lazy results and stores."""
