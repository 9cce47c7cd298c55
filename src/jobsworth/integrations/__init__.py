"""At home in the frameworks: each module here translates between one of them and Jobsworth, and holds no rule."""
