"""Data in, plotly figure out; no Streamlit."""
