"""What is computed from trajectories: connectivity, spectra, phase, dynamics, comparison."""
