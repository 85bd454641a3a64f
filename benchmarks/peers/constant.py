"""The floor: what uvicorn costs that answers two bytes. Arguments: port, workers."""

import sys

import uvicorn


async def app(scope, receive, send):
    """Answer ``{}`` to everything."""
    await receive()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    uvicorn.run("constant:app", port=int(sys.argv[1]), workers=int(sys.argv[2]), lifespan="off",
                access_log=False, log_level="warning", app_dir=sys.path[0])  # fmt: skip
