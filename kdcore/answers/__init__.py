"""The kinds of answers: one file each, with one chart each in the app. No torch."""
