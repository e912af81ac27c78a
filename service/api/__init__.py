"""The REST API: FastAPI under ``/v1``, with its OpenAPI document as the contract. Needs the extra ``serve``."""
