package admin

import (
	"context"
	"net/http"

	"hongyan/fans"
	"hongyan/guard"
	"hongyan/internal/fault"
	"hongyan/internal/lang"
	"hongyan/internal/walk"
	"hongyan/limits"
	"hongyan/wechat"
)

const tagFans = "Fans"

// FanView is a fan as lists show them.
type FanView struct {
	ID             int64   `json:"id"`
	OpenID         string  `json:"openid"`
	UnionID        string  `json:"unionid,omitempty"`
	Nickname       string  `json:"nickname,omitempty" doc:"By the fan's consent on a page; the platform tells it no other way"`
	AvatarURL      string  `json:"avatar_url,omitempty"`
	Remark         string  `json:"remark,omitempty"`
	Language       string  `json:"language,omitempty"`
	FollowSource   string  `json:"follow_source,omitempty" doc:"ADD_SCENE_…, as the platform names it"`
	Scene          string  `json:"scene,omitempty" doc:"Of the code through which the fan came"`
	Subscribed     bool    `json:"subscribed"`
	Blacklisted    bool    `json:"blacklisted"`
	OptedOut       bool    `json:"opted_out"`
	Refused        bool    `json:"refused" doc:"The fan switched messages off at WeChat"`
	SubscribedAt   int64   `json:"subscribed_at,omitempty"`
	UnsubscribedAt int64   `json:"unsubscribed_at,omitempty"`
	InteractedAt   int64   `json:"interacted_at,omitempty"`
	CreatedAt      int64   `json:"created_at"`
	Tags           []int64 `json:"tags" nullable:"false" doc:"Ids"`
}

func showFan(f *fans.Fan, tags []int64) FanView {
	return FanView{
		ID: f.ID, OpenID: f.OpenID, UnionID: f.UnionID, Nickname: f.Nickname, AvatarURL: f.AvatarURL, Remark: f.Remark, Language: f.Language, FollowSource: f.FollowSource, Scene: f.Scene,
		Subscribed: f.Subscribed, Blacklisted: f.Blacklisted, OptedOut: f.OptedOut, Refused: f.Refused, SubscribedAt: f.SubscribedAt, UnsubscribedAt: f.UnsubscribedAt,
		InteractedAt: f.InteractedAt, CreatedAt: f.CreatedAt, Tags: append([]int64{}, tags...),
	}
}

// bucketView is what an act of a fan's has granted and how much of it is left.
type bucketView struct {
	Trigger string `json:"trigger" enum:"message,menu,follow,scan,payment"`
	Words   string `json:"words"`
	Left    int    `json:"left" doc:"Messages"`
	Until   int64  `json:"until" doc:"The window's end, with the margin taken off: what is left counts until then"`
	Open    bool   `json:"open" doc:"Whether that is still to come"`
}

// capView is what of a cap is used.
type capView struct {
	Period string `json:"period" enum:"day,week,month"`
	Used   int    `json:"used" doc:"Marketing messages"`
	Cap    *int   `json:"cap,omitempty" doc:"None: no cap for this period"`
}

// valueView is an attribute of a fan.
type valueView struct {
	AttributeID int64  `json:"attribute_id"`
	Name        string `json:"name"`
	Label       string `json:"label"`
	Value       string `json:"value" doc:"As it is written to be set"`
}

// fanDetail is all that is known of a fan.
type fanDetail struct {
	FanView
	Sendable   int          `json:"sendable" doc:"Customer-service messages that the platform would take now"`
	Grants     []bucketView `json:"grants" nullable:"false"`
	AgentUntil int64        `json:"agent_until,omitempty" doc:"A human agent's session is open until then at most"`
	Caps       []capView    `json:"caps" nullable:"false"`
	Attributes []valueView  `json:"attributes" nullable:"false"`
}

type fanIn struct {
	Fan int64 `path:"fan"`
}

type fanOut struct{ Body fanDetail }

func (a *API) fanOps() {
	register(a, Op{
		ID: "list-fans", Method: http.MethodGet, Path: inAccount + "/fans", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出粉丝", EN: "List fans, newest first"},
		Details: "A search is by the beginning of remark or nickname, letter by letter, or a whole openid or unionid, and has an order of its own. " + shortPages,
	}, a.listFans)
	register(a, Op{
		ID: "get-fan", Method: http.MethodGet, Path: inAccount + "/fans/{fan}", Tag: tagFans, Scope: ScopeRead,
		Summary: lang.Text{ZH: "查看粉丝", EN: "Show a fan, with grants, caps, tags and attributes"},
	}, a.getFan)
	register(a, Op{
		ID: "erase-fan", Method: http.MethodDelete, Path: inAccount + "/fans/{fan}", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "删除粉丝的个人信息", EN: "Erase a fan: what identifies or describes the person goes, the counts stay"},
	}, a.eraseFan)
	register(a, Op{
		ID: "set-fan-remark", Method: http.MethodPut, Path: inAccount + "/fans/{fan}/remark", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "设置备注名", EN: "Set a fan's remark, at the platform and here"},
	}, a.setFanRemark)
	register(a, Op{
		ID: "blacklist-fans", Method: http.MethodPost, Path: inAccount + "/blacklist", Tag: tagFans, Scope: ScopeWrite,
		Summary: lang.Text{ZH: "拉黑或移出黑名单", EN: "Put fans on the blacklist, or take them off"},
		Details: "For more fans than one request takes, start the job.",
	}, a.blacklistFans)
	a.fanEventOps()
}

type listFansIn struct {
	PageParams
	Subscribed       string `query:"subscribed" enum:"true,false"`
	Blacklisted      string `query:"blacklisted" enum:"true,false"`
	Tag              int64  `query:"tag" minimum:"0" doc:"Who has this tag"`
	FollowSource     string `query:"follow_source" maxLength:"48"`
	Scene            string `query:"scene" maxLength:"64"`
	Q                string `query:"q" maxLength:"64" doc:"Beginning of remark or nickname, or a whole openid or unionid"`
	InteractedSince  int64  `query:"interacted_since" minimum:"0" doc:"Unix ms: the latest interaction is not older"`
	InteractedBefore int64  `query:"interacted_before" minimum:"0" doc:"Unix ms: the latest interaction is older, or none is known"`
	WindowOpen       string `query:"window_open" enum:"true,false" doc:"Who can be sent a customer-service message now, or who cannot"`
	Sort             string `query:"sort" enum:"newest,interacted" doc:"newest unless there is a search"`
}

func (a *API) listFans(ctx context.Context, c *Call, in *listFansIn) (*pageOut[FanView], error) {
	filter := fans.ListFilter{
		Subscribed: yes(in.Subscribed), Blacklisted: yes(in.Blacklisted), TagID: in.Tag, FollowSource: in.FollowSource, Scene: in.Scene, Search: in.Q,
		InteractedSince: in.InteractedSince, InteractedBefore: in.InteractedBefore, WindowOpen: yes(in.WindowOpen), Sort: fans.ListSort(in.Sort),
	}
	var tags map[int64][]int64
	return walked(c, in.PageParams, func(o walk.Options) (page walk.Page[*fans.Fan], err error) {
		if page, err = a.o.Fans.ListFans(ctx, c.Account.ID, filter, o); err != nil {
			return page, err
		}
		ids := make([]int64, len(page.Rows))
		for i, f := range page.Rows {
			ids[i] = f.ID
		}
		tags, err = a.o.Fans.TagsOf(a.o.DB.Read(ctx), c.Account.ID, ids)
		return page, err
	}, func(f *fans.Fan) FanView { return showFan(f, tags[f.ID]) })
}

// findFan finds a fan who is not erased.
func (a *API) findFan(ctx context.Context, c *Call, id int64) (fans.Known, error) {
	found, err := a.o.Fans.WithLimits(a.o.DB.Read(ctx), c.Account.ID, []int64{id})
	if err != nil {
		return fans.Known{}, err
	}
	if f := found[id].Fan; f == nil || f.Erased() {
		return fans.Known{}, fault.New(fault.NotFound, "this account has no fan %d", id)
	}
	return found[id], nil
}

func (a *API) getFan(ctx context.Context, c *Call, in *fanIn) (*fanOut, error) {
	known, err := a.findFan(ctx, c, in.Fan)
	if err != nil {
		return nil, err
	}
	tx := a.o.DB.Read(ctx)
	whole, err := a.o.Fans.ByIDs(tx, c.Account.ID, []int64{in.Fan})
	if err != nil {
		return nil, err
	}
	if whole[in.Fan] == nil {
		return nil, fault.New(fault.NotFound, "this account has no fan %d", in.Fan)
	}
	tags, err := a.o.Fans.TagsOf(tx, c.Account.ID, []int64{in.Fan})
	if err != nil {
		return nil, err
	}
	values, err := a.fanValues(ctx, c, in.Fan)
	if err != nil {
		return nil, err
	}
	now := a.o.Clock.Now()
	out := &fanOut{Body: fanDetail{FanView: showFan(whole[in.Fan], tags[in.Fan]), Attributes: values, Caps: showCaps(c.Account.Policy, &known.Usage, c.Account.Policy.Day(now))}}
	out.Body.Grants, out.Body.Sendable = showGrants(&known.Usage, now.UnixMilli(), c.Lang)
	if known.Usage.AgentUntil > now.UnixMilli() {
		out.Body.AgentUntil = known.Usage.AgentUntil
	}
	return out, nil
}

// showGrants shows the buckets that have ever been opened, and how many messages they allow together.
func showGrants(u *limits.Usage, now int64, l lang.Lang) ([]bucketView, int) {
	out := []bucketView{}
	for t, b := range u.Grants.Buckets {
		if b.Until > 0 {
			trigger := wechat.Trigger(t)
			out = append(out, bucketView{
				Trigger: trigger.String(), Words: triggerWords[trigger].In(l), Left: max(0, b.Left), Until: b.Until, Open: b.Open(now),
			})
		}
	}
	return out, max(0, u.Grants.Available(now, 0))
}

func showCaps(p *guard.Policy, u *limits.Usage, day int) []capView {
	used := u.Counted.At(day)
	out := make([]capView, 0, guard.PeriodCount)
	for i, name := range [guard.PeriodCount]string{guard.PeriodDay: "day", guard.PeriodWeek: "week", guard.PeriodMonth: "month"} {
		view := capView{Period: name, Used: used[i]}
		if most := p.Caps[i]; most != guard.NoCap {
			view.Cap = &most
		}
		out = append(out, view)
	}
	return out
}

func (a *API) eraseFan(ctx context.Context, c *Call, in *fanIn) (*none, error) {
	if _, err := a.findFan(ctx, c, in.Fan); err != nil {
		return nil, err
	}
	return &none{}, a.o.Fans.EraseFans(ctx, c.Account.ID, []int64{in.Fan})
}

type setFanRemarkIn struct {
	Fan  int64 `path:"fan"`
	Body struct {
		Remark string `json:"remark" maxLength:"30" doc:"Up to 29 characters; empty takes it away"`
	}
}

func (a *API) setFanRemark(ctx context.Context, c *Call, in *setFanRemarkIn) (*fanOut, error) {
	if err := a.o.Mirror.SetRemark(ctx, c.Account.ID, in.Fan, in.Body.Remark); err != nil {
		return nil, err
	}
	return a.getFan(ctx, c, &fanIn{Fan: in.Fan})
}

type blacklistIn struct {
	Body struct {
		On     bool    `json:"on" doc:"Put them on, or take them off"`
		FanIDs []int64 `json:"fan_ids" minItems:"1" maxItems:"500"`
	}
}

// refusedView is a fan whom the platform refused.
type refusedView struct {
	FanID   int64  `json:"fan_id"`
	ErrCode int    `json:"errcode,omitempty" doc:"The platform's; none when it was not asked"`
	Words   string `json:"words"`
}

// changedOut is what came of a change to several fans.
type changedOut struct {
	Body struct {
		Done    int           `json:"done"`
		Refused []refusedView `json:"refused" nullable:"false"`
	}
}

func (a *API) blacklistFans(ctx context.Context, c *Call, in *blacklistIn) (*changedOut, error) {
	change := a.o.Blacklister.RemoveFromBlacklist
	if in.Body.On {
		change = a.o.Blacklister.AddToBlacklist
	}
	came, err := change(ctx, c.Account.ID, in.Body.FanIDs)
	if err != nil {
		return nil, err
	}
	out := &changedOut{}
	out.Body.Done, out.Body.Refused = came.Done, []refusedView{}
	for _, r := range came.Refused {
		out.Body.Refused = append(out.Body.Refused, refusedView{FanID: r.FanID, ErrCode: r.Err.Code, Words: wechat.CodeWords(r.Err.Code, c.Lang)})
	}
	return out, nil
}
