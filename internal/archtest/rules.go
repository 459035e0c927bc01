// Package archtest holds the rules of the house that the compiler does not know, and the test that
// applies them to the whole tree: which room may import which, where the wall clock is
// read, which libraries stay in one room, no init. It imports nothing of ours.
package archtest

// rules are what Check holds a tree against.
type rules struct {
	module string
	rooms  map[string]room
	// confined are libraries and the rooms that may import them.
	confined map[string][]string
	// testSupport are packages that only tests and each other import.
	testSupport []string
	// wallClock are the packages that may read it.
	wallClock []string
}

// room is a directory with all below it, except what is a room itself.
type room struct {
	imports  []string // rooms it may import
	anything bool     // imports is ignored
	pure     bool     // besides imports, only the standard library
}

// house is the table of rooms. An arrow that is missing here is missing on purpose: join
// the two rooms in cmd, through an interface that the user of the other declares.
func house() rules {
	domain := []string{
		"accounts", "limits", "fans", "segments", "templates", "deliveries", "qrcodes", "posters", "replies", "menus", "campaigns", "webhooks", "links",
	}
	return rules{
		module: "hongyan",
		rooms: map[string]room{
			"cmd":              {anything: true},
			"internal":         {imports: []string{"internal"}},
			"wechat":           {imports: []string{"internal"}},
			"wechat/callback":  {imports: []string{"wechat", "internal"}},
			"wechat/simulator": {imports: []string{"wechat", "wechat/callback", "internal"}},
			"guard":            {imports: []string{"wechat", "internal"}, pure: true},
			"accounts":         {imports: []string{"guard", "wechat", "internal"}},
			"limits":           {imports: []string{"guard", "wechat", "internal"}},
			"fans":             {imports: []string{"accounts", "guard", "limits", "wechat", "internal"}},
			"segments":         {imports: []string{"internal"}},
			"templates":        {imports: []string{"accounts", "wechat", "internal"}},
			"deliveries":       {imports: []string{"guard", "limits", "wechat", "internal"}},
			"qrcodes":          {imports: []string{"accounts", "fans", "templates", "deliveries", "wechat", "internal"}},
			"posters":          {imports: []string{"accounts", "fans", "qrcodes", "templates", "deliveries", "wechat", "internal"}},
			"replies":          {imports: []string{"accounts", "fans", "templates", "deliveries", "internal"}},
			"menus":            {imports: []string{"accounts", "fans", "templates", "wechat", "internal"}},
			"webhooks":         {imports: []string{"internal"}},
			"links":            {imports: []string{"internal"}},
			"campaigns": {imports: []string{
				"guard", "accounts", "limits", "fans", "segments", "templates", "deliveries", "wechat", "internal",
			}},
			"scheduler": {imports: append([]string{"guard", "wechat", "wechat/callback", "internal"}, domain...)},
			"admin":     {imports: append([]string{"guard", "wechat", "admin/console", "internal"}, domain...)},
			// The console is files and their embedding.
			"admin/console": {},
		},
		confined: map[string][]string{
			"github.com/gofiber/fiber":      {"cmd", "admin"},
			"github.com/danielgtaylor/huma": {"cmd", "admin"},
			"github.com/hibiken/asynq":      {"scheduler"},
		},
		testSupport: []string{"internal/testdb", "internal/startstop/startstoptest", "internal/archtest"},
		wallClock:   []string{"internal/clock"},
	}
}
