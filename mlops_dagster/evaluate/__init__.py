"""Judge a candidate: metrics, slices, two baselines, the champion on the same rows, the gates."""
