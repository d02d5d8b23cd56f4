"""Whether the pose is kept."""
