package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
	schema "go.temporal.io/server/schema/sqlite"

	deviceworkflow "devicetwin/workflows/device"
)

const (
	clusterName  = "active"
	storeName    = "sqlite"
	databaseFile = "temporal.db"
)

// dynamicConfig holds the settings that were found to matter on one machine
// with 2 cores; the others keep their defaults.
func dynamicConfig() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// The default of 20 polls a second is the largest part of the latency
		// of a signal: p50 30 ms instead of 7 ms.
		dynamicconfig.TransferProcessorMaxPollRPS.Key(): 500,
		// Partitions of a task queue spread load over hosts. On one host they
		// only leave pollers waiting at the wrong one.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// Listing a fleet is what the visibility store is there for.
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 100,
		// The default of 128,000 workflows in memory suits a dedicated host.
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 20_000,
	}
}

func temporalPorts(host string, frontend int) (map[primitives.ServiceName]int, error) {
	ports := map[primitives.ServiceName]int{}
	for service, port := range map[primitives.ServiceName]int{
		primitives.FrontendService: frontend,
		primitives.HistoryService:  0,
		primitives.MatchingService: 0,
		primitives.WorkerService:   0,
	} {
		chosen, err := portOrFree(host, port)
		if err != nil {
			return nil, fmt.Errorf("port of the %s service: %w", service, err)
		}
		ports[service] = chosen
	}
	return ports, nil
}

func temporalConfig(host string, ports map[primitives.ServiceName]int, store *config.SQL) *config.Config {
	frontend := hostPort(host, ports[primitives.FrontendService])
	c := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:    storeName,
			VisibilityStore: storeName,
			// Fixed for the life of a database; one is best on SQLite.
			NumHistoryShards: 1,
			DataStores:       map[string]config.DataStore{storeName: {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            map[string]config.Service{},
		PublicClient:        config.PublicClient{HostPort: frontend},
	}
	c.Global.Membership.MaxJoinDuration = 30 * time.Second
	c.Global.Membership.BroadcastAddress = host
	c.Archival.History.State = "disabled"
	c.Archival.Visibility.State = "disabled"
	c.NamespaceDefaults.Archival.History.State = "disabled"
	c.NamespaceDefaults.Archival.Visibility.State = "disabled"
	for service, port := range ports {
		c.Services[string(service)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: host}}
	}
	return c
}

// openSQLite makes the database with its namespace, unless it exists.
//
// A write-ahead log with synchronous=normal survives kill -9, and carries five
// times the load of the default journal; after a loss of power, the database is
// whole, and its last transactions may be missing, but with synchronous=full. One connection: SQLite has one writer,
// and more connections only meet in SQLITE_BUSY.
func openSQLite(dir string, syncAlways bool) (*config.SQL, error) {
	path := filepath.Join(dir, databaseFile)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := createSQLite(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("look for the Temporal database: %w", err)
	}
	store := sqliteAt(path)
	store.ConnectAttributes["journal_mode"] = "wal"
	store.ConnectAttributes["synchronous"] = "1"
	if syncAlways {
		store.ConnectAttributes["synchronous"] = "2"
	}
	store.ConnectAttributes["busy_timeout"] = "10000"
	// The defaults, of 2 and 4 MiB, suit a telephone: 10,000 workflows read pages
	// again and again, and write them back twice a second.
	store.ConnectAttributes["cache_size"] = "-65536"       // KiB
	store.ConnectAttributes["wal_autocheckpoint"] = "8192" // pages of 4 KiB
	store.MaxConns, store.MaxIdleConns = 1, 1
	return store, nil
}

// createSQLite prepares the database under another name, so that a process
// killed in the middle leaves nothing that looks finished.
func createSQLite(path string) error {
	draft := path + ".new"
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(draft + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an unfinished Temporal database: %w", err)
		}
	}
	store := sqliteAt(draft)
	// Nothing here needs to survive a crash, so do not wait for the disk.
	store.ConnectAttributes["synchronous"] = "0"
	store.ConnectAttributes["journal_mode"] = "memory"
	if err := schema.SetupSchema(store); err != nil {
		return fmt.Errorf("make the Temporal database: %w", err)
	}
	namespace, err := schema.NewNamespaceConfig(clusterName, Namespace, false, deviceworkflow.SearchAttributes())
	if err != nil {
		return fmt.Errorf("describe namespace %s: %w", Namespace, err)
	}
	if err := schema.CreateNamespaces(store, namespace); err != nil {
		return fmt.Errorf("make namespace %s: %w", Namespace, err)
	}
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("put the Temporal database in place: %w", err)
	}
	return nil
}

// sqliteAt escapes what has a meaning in the URI that the driver makes of a
// database name.
func sqliteAt(path string) *config.SQL {
	name := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return &config.SQL{
		PluginName:        sqlite.PluginName,
		DatabaseName:      name,
		ConnectAttributes: map[string]string{"mode": "rwc"},
	}
}
