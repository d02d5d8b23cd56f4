"""CryoSPARC's ``.cs`` files, read and written."""
