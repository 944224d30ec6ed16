"""Training: photos with captions or labels and lyrics in, a release out. Needs recommender/train/requirements.txt."""
