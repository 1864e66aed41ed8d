"""Functions that draw with Streamlit and return what was chosen."""
