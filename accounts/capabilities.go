package accounts

import (
	"slices"

	"hongyan/internal/lang"
)

// Capability is something of the platform that an account may use or not. The names are stored.
type Capability string

// The capabilities (platform.md 0.2).
const (
	CustomerService  Capability = "customer_service"
	TemplateMessages Capability = "templates"
	Notices          Capability = "notices"
	MassSend         Capability = "mass_send"    // to all, or to a tag
	MassByList       Capability = "mass_by_list" // to listed fans
	QRCodes          Capability = "qr_codes"
	ShortKeys        Capability = "short_keys"
	Tags             Capability = "tags"
	UserList         Capability = "user_list" // and who they are
	Menus            Capability = "menus"
	ConditionalMenus Capability = "conditional_menus"
	OAuth            Capability = "oauth"
	JSSDK            Capability = "js_sdk"
	JSShare          Capability = "js_share"
	Material         Capability = "material"
	Drafts           Capability = "drafts"
	Publishing       Capability = "publishing"
	Datacube         Capability = "datacube"
	Agents           Capability = "agents" // human agents, their sessions and records
	LocationEvents   Capability = "location_events"
)

// Permission says whether an account has a capability.
type Permission string

// The permissions. Unknown is where the platform publishes nothing that decides it and has not been asked.
const (
	Allowed    Permission = "allowed"
	NotAllowed Permission = "not_allowed"
	Unknown    Permission = "unknown"
)

// Source says how a permission is known. The later ones outweigh the earlier.
type Source string

// The sources.
const (
	ByType   Source = "type"            // the platform's table of rights, by kind and verification
	BySets   Source = "permission_sets" // what the owner granted to the third-party platform
	ByAnswer Source = "answer"          // a call was answered or refused
	BySend   Source = "send"            // a send was refused, and the account has been stopped since
)

// Right is one capability of an account.
type Right struct {
	Capability Capability `json:"capability"`
	Permission Permission `json:"permission"`
	Source     Source     `json:"source"`
	ErrCode    int        `json:"errcode,omitempty"` // the refusal that says so
	// Since is the time, in unix ms, from which this has been known without a change.
	Since int64 `json:"since"`
}

// Rights are all capabilities of an account, each once and always in the same order.
type Rights []Right

// Of returns the right to c; its permission is Unknown when nothing is known.
func (r Rights) Of(c Capability) Right {
	for _, right := range r {
		if right.Capability == c {
			return right
		}
	}
	return Right{Capability: c, Permission: Unknown}
}

// facts are what rights are derived from.
type facts struct {
	kind     Kind
	verified bool
	// component says that the account was connected by a scan; sets are then the permission sets 权限集 that its owner
	// granted, nil while they could not be read.
	component bool
	sets      []int
	answers   map[Capability]answer
}

// answer is what the platform said when it was asked for something.
type answer struct {
	permission Permission
	code       int
	source     Source
}

// deriveRights tells what an account may do. before is what was known before: rights that have not changed keep their
// Since, others get now.
func deriveRights(f *facts, before Rights, now int64) Rights {
	table := capabilities()
	out := make(Rights, len(table))
	for i := range table {
		right := table[i].derive(f)
		right.Since = now
		if old := before.Of(right.Capability); old.Since > 0 && old.Permission == right.Permission && old.Source == right.Source && old.ErrCode == right.ErrCode {
			right.Since = old.Since
		}
		out[i] = right
	}
	return out
}

// need is what the platform's table of rights asks of an account.
type need uint8

const (
	needNothing need = iota
	needMenus        // subscription accounts have to be verified
	needVerified
	needService // a verified service account
	needGrey    // a verified service account, if the platform's grey release has reached it
	needAgents  // verified; the platform's pages contradict each other about subscription accounts
)

type capability struct {
	name Capability
	text lang.Text
	need need
	sets []int // permission sets of which one is needed (platform.md 1.5); nil where no page names one
}

// capabilities is the platform's table of rights (platform.md 0.2).
func capabilities() []capability {
	templateSets := []int{7, 100, 101}
	return []capability{
		{CustomerService, lang.Text{ZH: "客服消息", EN: "customer-service messages"}, needVerified, []int{1}},
		{TemplateMessages, lang.Text{ZH: "模板消息", EN: "template messages"}, needService, templateSets},
		{Notices, lang.Text{ZH: "订阅通知", EN: "subscription notices"}, needGrey, nil},
		{MassSend, lang.Text{ZH: "群发", EN: "mass sends"}, needVerified, []int{7}},
		{MassByList, lang.Text{ZH: "按列表群发", EN: "mass sends to listed fans"}, needService, []int{7}},
		{QRCodes, lang.Text{ZH: "带参数二维码", EN: "parametric QR codes"}, needService, []int{3}},
		{ShortKeys, lang.Text{ZH: "短key", EN: "short keys"}, needService, []int{3}},
		{Tags, lang.Text{ZH: "用户标签", EN: "tags"}, needVerified, []int{2}},
		{UserList, lang.Text{ZH: "用户列表与信息", EN: "list of fans and who they are"}, needVerified, []int{2}},
		{Menus, lang.Text{ZH: "自定义菜单", EN: "menus"}, needMenus, []int{15}},
		{ConditionalMenus, lang.Text{ZH: "个性化菜单", EN: "conditional menus"}, needVerified, []int{15}},
		{OAuth, lang.Text{ZH: "网页授权", EN: "OAuth of web pages"}, needService, []int{4}},
		{JSSDK, lang.Text{ZH: "JS-SDK", EN: "JS-SDK"}, needNothing, []int{4}},
		{JSShare, lang.Text{ZH: "JS-SDK 分享", EN: "JS-SDK sharing"}, needVerified, []int{4}},
		{Material, lang.Text{ZH: "永久素材", EN: "permanent material"}, needVerified, []int{11}},
		{Drafts, lang.Text{ZH: "草稿", EN: "drafts"}, needVerified, []int{7}},
		{Publishing, lang.Text{ZH: "发布", EN: "publishing"}, needVerified, []int{7}},
		{Datacube, lang.Text{ZH: "数据统计", EN: "statistics"}, needVerified, nil},
		{Agents, lang.Text{ZH: "人工客服", EN: "human agents"}, needAgents, []int{6}},
		{LocationEvents, lang.Text{ZH: "地理位置事件", EN: "events of the fan's position"}, needService, []int{2}},
	}
}

// Text names the capability for people.
func (c Capability) Text() lang.Text {
	table := capabilities()
	if i := slices.IndexFunc(table, func(row capability) bool { return row.name == c }); i >= 0 {
		return table[i].text
	}
	return lang.Text{ZH: string(c), EN: string(c)}
}

func (c *capability) derive(f *facts) Right {
	right := Right{Capability: c.name, Permission: c.need.of(f.kind, f.verified), Source: ByType}
	if f.component && f.sets != nil && c.sets != nil && !slices.ContainsFunc(c.sets, func(id int) bool { return slices.Contains(f.sets, id) }) {
		right.Permission, right.Source = NotAllowed, BySets
	}
	if a, ok := f.answers[c.name]; ok {
		right.Permission, right.Source, right.ErrCode = a.permission, a.source, a.code
	}
	return right
}

// of is the table of rights as a function.
func (n need) of(kind Kind, verified bool) Permission {
	service := kind == KindService
	switch {
	case n == needNothing, n == needMenus && (service || verified), n == needVerified && verified, n == needService && service && verified,
		n == needAgents && service && verified:
		return Allowed
	case n == needGrey && service && verified, n == needAgents && verified:
		return Unknown
	default:
		return NotAllowed
	}
}

// denies reports whether an errcode says that the account may not use an API at all, whatever is asked of it
// (platform.md 12.3).
func denies(code int) bool {
	switch code {
	case 40200, // not for this type of account
		48001, 48004, // no right to the API; taken away for breaking rules
		50001, // the third-party platform lost it
		61007: // not among the permission sets
		return true
	default:
		return false
	}
}
