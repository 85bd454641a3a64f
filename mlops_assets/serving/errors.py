"""A request the server refuses."""


class RequestError(Exception):
    """Answered to the client as ``{"error": message}``.

    Parameters
    ----------
    status : int
        HTTP status of the reply.
    message : str
        What is wrong and where; holds nothing the client may not see.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status
        self.message = message
