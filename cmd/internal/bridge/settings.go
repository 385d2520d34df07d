package bridge

import (
	"buildbridge/cmd/internal/certificate"
	"buildbridge/handlers"
	"buildbridge/handlers/admin"
	"buildbridge/mapping"
	"buildbridge/trigger"
)

// Settings are the options of a bridge that the command line has as flags. Each field
// declares its default, its limit (min) and its help.
type Settings struct {
	// Database is the SQLite file, or the URL of a PostgreSQL database. Required.
	Database string `default:"buildbridge.db" placeholder:"PATH|URL" help:"SQLite file on a local disk, or postgres:// URL."`

	Trigger trigger.Settings `embed:""`

	// KeepIgnored is that of store.Options. On the command line, 0 keeps none.
	KeepIgnored int `group:"kept" default:"20000" placeholder:"N" help:"Ignored deliveries and duplicates to keep, the newest; 0 is none."`

	// Listen and AdminListen are required. Port 0 takes a free one.
	Listen      string `group:"listeners" default:":8080" placeholder:"ADDR" help:"Address for code hosts: POST /webhooks/{source}."`
	AdminListen string `group:"listeners" default:"127.0.0.1:8081" placeholder:"ADDR" help:"Address for health, metrics and the admin API."`

	// MaxConnections is for each listener. Connections beyond it wait. 0 sets no limit.
	MaxConnections int `group:"listeners" default:"1024" min:"1" placeholder:"N" help:"Connections at a time, on each listener; others wait."`

	// TLS and AdminTLS are for the public and the admin listener; without them it is HTTP.
	TLS      certificate.Files `group:"listeners" embed:"" prefix:"tls-" set:"listener=--listen"`
	AdminTLS certificate.Files `group:"listeners" embed:"" prefix:"admin-tls-" set:"listener=--admin-listen"`

	// PagesListen is for the pages alone, for reading; "" for no such listener. It needs PagesToken or
	// PagesOpen: without them it refuses everybody.
	PagesListen string              `group:"pages" placeholder:"ADDR" help:"Address for the pages alone, for reading, for those who push."`
	PagesToken  []mapping.SecretRef `group:"pages" placeholder:"env:NAME|file:PATH" help:"Token for it; can be repeated."`
	PagesOpen   bool                `group:"pages" help:"No token for it: all who reach it may read."`
	PagesTLS    certificate.Files   `group:"pages" embed:"" prefix:"pages-tls-" set:"listener=--pages-listen"`

	// ExternalURL, TraceURL and DashboardURL are those of pages.Links.
	ExternalURL  string `group:"pages" type:"webaddress" help:"Address by which people reach the pages, for links in statuses and in the log."`
	TraceURL     string `group:"pages" type:"trace" help:"Address of a trace, with {trace_id}, for links from builds."`
	DashboardURL string `group:"pages" type:"webaddress" help:"Address of Grafana, for links to dashboards."`

	Handlers handlers.Settings `group:"listeners" embed:""`

	// AdminTokens are tokens of the admin API with the names of who has them. Several may
	// have the same name. Their variable is in the plural: the commands that ask a bridge have
	// the singular, for the token that they send.
	AdminTokens []AdminToken `group:"admin" name:"admin-token" env:"BUILDBRIDGE_ADMIN_TOKENS" help:"Token of somebody; can be repeated."`

	// AdminReadToken and AdminWriteToken give access to the admin API; any one does. On a
	// loopback address, reading needs none if there is none. If there is none for writing,
	// one is made beside a SQLite database.
	AdminReadToken  []mapping.SecretRef `group:"admin" placeholder:"env:NAME|file:PATH" help:"Token for reading; can be repeated."`
	AdminWriteToken []mapping.SecretRef `group:"admin" placeholder:"env:NAME|file:PATH" help:"Token for reading and writing; can be repeated."`
}

// AdminToken is a token of the admin API by reference.
type AdminToken struct {
	Name string
	Role admin.Role
	Ref  mapping.SecretRef
}
