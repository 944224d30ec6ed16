"""The tables: fields, constraints and indexes. A comment at each index names its query."""

from .access import PostAccess
from .api_client import ApiClient, ApiKey, ExternalUser, Scope, SongSource
from .claimable import Claimable, State
from .event import Event
from .idempotency import IdempotencyKey
from .photo import PhotoAnalysis, PhotoSubject
from .post import Post, PostPhoto, Thumbnail
from .release import EMBEDDING_DIM, SEARCH_DIM, ModelRelease
from .rule import Rule
from .song import Song, SongEmbedding
from .suggestion import Feedback, RecommendationRequest, Suggestion
from .taste import Taste
from .webhook import WebhookDelivery, WebhookEndpoint
from .worker import WakeUpSender, Worker

__all__ = [
    "EMBEDDING_DIM",
    "SEARCH_DIM",
    "ApiClient",
    "ApiKey",
    "Claimable",
    "Event",
    "ExternalUser",
    "Feedback",
    "IdempotencyKey",
    "ModelRelease",
    "PhotoAnalysis",
    "PhotoSubject",
    "Post",
    "PostAccess",
    "PostPhoto",
    "RecommendationRequest",
    "Rule",
    "Scope",
    "Song",
    "SongEmbedding",
    "SongSource",
    "State",
    "Suggestion",
    "Taste",
    "Thumbnail",
    "WakeUpSender",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Worker",
]
