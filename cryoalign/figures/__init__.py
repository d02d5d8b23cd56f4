"""Pictures of pairs and of their spectra, for TensorBoard, files and papers: the only home of matplotlib."""
