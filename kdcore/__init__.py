"""Small knowledge distillations, run and looked into: recipe in, events out."""
