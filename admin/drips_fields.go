package admin

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"hongyan/internal/lang"
	"hongyan/segments"
)

// fieldView is something that conditions of drips may ask.
type fieldView struct {
	Field     string        `json:"field" example:"fan.language" doc:"As a condition writes it"`
	Type      segments.Type `json:"type" enum:"text,number,bool,date,tag"`
	Operators []segments.Op `json:"operators" nullable:"false" doc:"In the order in which a form offers them"`
	Words     string        `json:"words" doc:"What it is; of tags and attributes, what members call them"`
}

type dripFieldsOut struct {
	Body struct {
		Items []fieldView `json:"items" nullable:"false"`
	}
}

// dripFieldWords says what the fields are that every account has.
func dripFieldWords() map[string]lang.Text {
	return map[string]lang.Text{
		"fan.subscribed":      {ZH: "已关注", EN: "follows the account"},
		"fan.follow_source":   {ZH: "关注来源", EN: "how the fan came to follow, as the platform names it"},
		"fan.scene":           {ZH: "渠道二维码场景值", EN: "scene of the code through which the fan came"},
		"fan.language":        {ZH: "语言", EN: "language"},
		"fan.subscribed_days": {ZH: "已关注天数", EN: "full days since the latest follow"},
		"fan.nickname_known":  {ZH: "已知昵称", EN: "the nickname is known"},
		"run.trigger":         {ZH: "进入流程的触发方式", EN: "kind of the trigger that began the run"},
		"run.replied":         {ZH: "进入后回复过", EN: "has sent a message since the run began"},
		"run.clicked":         {ZH: "进入后点击过菜单或跟踪链接", EN: "has tapped a menu item or a tracked link since the run began"},
		"window.open":         {ZH: "现在可以发客服消息", EN: "can be sent a customer-service message now"},
		"window.left":         {ZH: "现在还能发的客服消息条数", EN: "how many customer-service messages can be sent now"},
	}
}

func (a *API) dripFieldOps() {
	register(a, Op{
		ID: "list-drip-fields", Method: http.MethodGet, Path: inAccount + "/drips/fields", Tag: tagDrips, Scope: ScopeRead,
		Summary: lang.Text{ZH: "列出条件可用的字段", EN: "List the fields that conditions of drips may ask, with their operators"},
		Details: "The fixed ones first, then the account's tags and attributes.",
	}, a.listDripFields)
}

func (a *API) listDripFields(ctx context.Context, c *Call, _ *none) (*dripFieldsOut, error) {
	fields, err := a.o.Campaigns.Fields(a.o.DB.Read(ctx), c.Account.ID)
	if err != nil {
		return nil, err
	}
	words, err := a.fieldWords(ctx, c)
	if err != nil {
		return nil, err
	}
	out := &dripFieldsOut{}
	out.Body.Items = make([]fieldView, len(fields))
	for i, f := range fields {
		out.Body.Items[i] = fieldView{Field: f.Name, Type: f.Type, Operators: segments.Operators(f.Type), Words: cmp.Or(words[f.Name], f.Name)}
	}
	return out, nil
}

// fieldWords is what people call the fields of an account, by their names.
func (a *API) fieldWords(ctx context.Context, c *Call) (map[string]string, error) {
	out := map[string]string{}
	for name, words := range dripFieldWords() {
		out[name] = words.In(c.Lang)
	}
	tags, err := a.o.Fans.FindTags(ctx, c.Account.ID)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		out["tag."+strconv.FormatInt(t.ID, 10)] = t.Name
	}
	attributes, err := a.o.Fans.FindAttributes(ctx, c.Account.ID)
	if err != nil {
		return nil, err
	}
	for _, x := range attributes {
		out["attribute."+x.Name] = x.Label
	}
	return out, nil
}
