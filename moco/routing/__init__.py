"""What routers and cascades are made of: the table of dev scores and costs, estimators of a
member's score from a question's embedding, clusters, and the policy search. Numbers in, numbers
out; the model calls are in `table.py`.
"""
