"""The OpenAPI document: made from the routes and from what their handlers say of themselves."""
