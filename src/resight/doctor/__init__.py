"""What is wrong with a data set, or with what is to be ingested: findings, each with what to do."""
