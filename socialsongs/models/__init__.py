"""Fields, constraints and indexes. Each index carries a comment that names its query."""

from .claimable import Claimable, State
from .photo import PhotoAnalysis, PhotoSubject
from .post import Post, PostPhoto
from .release import ModelRelease
from .song import EMBEDDING_DIM, Song, SongEmbedding
from .suggestion import Feedback, RecommendationRequest, Suggestion
from .worker import Worker

__all__ = [
    "EMBEDDING_DIM",
    "Claimable",
    "Feedback",
    "ModelRelease",
    "PhotoAnalysis",
    "PhotoSubject",
    "Post",
    "PostPhoto",
    "RecommendationRequest",
    "Song",
    "SongEmbedding",
    "State",
    "Suggestion",
    "Worker",
]
