# No-op tasks per second with Dask distributed: one scheduler, two worker processes.
import sys
import time

from distributed import Client, LocalCluster


def nothing(_):
    return None


if __name__ == "__main__":
    count = int(sys.argv[1])
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    client = Client(cluster)
    client.gather(client.map(nothing, range(100), pure=False))
    begin = time.perf_counter()
    client.gather(client.map(nothing, range(count), pure=False))
    print(count / (time.perf_counter() - begin))
    client.close()
    cluster.close()
