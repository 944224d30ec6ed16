"""The tables: fields, constraints and indexes. A comment at each index names its query."""

from .access import PostAccess
from .claimable import Claimable, State
from .photo import PhotoAnalysis, PhotoSubject
from .post import Post, PostPhoto, Thumbnail
from .release import EMBEDDING_DIM, SEARCH_DIM, ModelRelease
from .rule import Rule
from .song import Song, SongEmbedding
from .suggestion import Feedback, RecommendationRequest, Suggestion
from .taste import Taste
from .worker import Worker

__all__ = [
    "EMBEDDING_DIM",
    "SEARCH_DIM",
    "Claimable",
    "Feedback",
    "ModelRelease",
    "PhotoAnalysis",
    "PhotoSubject",
    "Post",
    "PostAccess",
    "PostPhoto",
    "RecommendationRequest",
    "Rule",
    "Song",
    "SongEmbedding",
    "State",
    "Suggestion",
    "Taste",
    "Thumbnail",
    "Worker",
]
