"""The two documents joined: synthetic anomalies choose the recipe of the training set, without labels."""
