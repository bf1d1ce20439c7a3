# No-op tasks per second with Celery over Redis: one worker with two processes.
# usage: celery_noops.py PORT COUNT; as a module of `celery worker` it takes the port from REDIS_PORT
import os
import subprocess
import sys
import time

from celery import Celery, group

port = sys.argv[1] if __name__ == "__main__" else os.environ["REDIS_PORT"]
address = f"redis://127.0.0.1:{port}/0"
app = Celery("celery_noops", broker=address, backend=address)


@app.task(name="celery_noops.nothing")
def nothing():
    return None


if __name__ == "__main__":
    count = int(sys.argv[2])
    folder = os.path.dirname(os.path.abspath(__file__))
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "celery_noops", "worker", "-c", "2", "-l", "ERROR"],
        cwd=folder,
        env=dict(os.environ, REDIS_PORT=port, PYTHONDONTWRITEBYTECODE="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        group(nothing.s() for _ in range(20)).apply_async().get(timeout=60)
        begin = time.perf_counter()
        group(nothing.s() for _ in range(count)).apply_async().get(timeout=300)
        print(count / (time.perf_counter() - begin))
    finally:
        worker.terminate()
        worker.wait()
