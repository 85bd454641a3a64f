"""An ASGI application with scikit-learn on arrays, as one writes it by hand.

Arguments: folder of the model, port, workers.
"""

import json
import os
import sys

import numpy as np
import uvicorn
from loading import load


async def app(scope, receive, send):
    """Answer records at /predict and tensors of the Open Inference Protocol at /infer."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if not body:
        answer = b"{}"
    else:
        asked = json.loads(body)
        if scope["path"] == "/infer":
            tensor = asked["inputs"][0]
            rows = np.array(tensor["data"]).reshape(tensor["shape"])
        else:
            rows = np.array([list(record.values()) for record in asked])
        answer = json.dumps(model.predict_proba(rows).tolist()).encode()
    length = (b"content-length", b"%d" % len(answer))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    os.environ["MODEL"] = sys.argv[1]
    uvicorn.run("plain:app", port=int(sys.argv[2]), workers=int(sys.argv[3]), lifespan="off",
                access_log=False, log_level="warning", app_dir=sys.path[0])  # fmt: skip
else:
    model = load(os.environ["MODEL"])
