"""The lab in the browser: pages that ask and read; it never trains and never computes."""
