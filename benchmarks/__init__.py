"""`stepc bench`: a step of any optimizer beside any installed peer's, on real lists of parameters.

parameters.py   the lists: GPT-2 small, Llama-3 8B, ResNet-50, 10,000 small tensors, one tensor
contestants.py  who races: ours, torch's, other libraries', and the machine's plain copy
worker.py       a process with one contestant in it, that steps when it is told to
race.py         workers told to step in turn, and ratios pair by pair
record.py       what is kept: benchmarks/results/*.json
report.py       tables and the README's figures, plot.py the pictures
gpu.py          `make bench-gpu`: all that needs a GPU, within eight minutes
"""
