"""The API's description (OpenAPI 3.1), made of what checks the input and of what views declare."""
