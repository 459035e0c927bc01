package sdktest

import (
	"testing"

	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/messages"
	"github.com/ArtisanCloud/PowerWeChat/v3/src/kernel/power"
	broadcast "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/broadcasting/request"
	menurequest "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/menu/request"
	template "github.com/ArtisanCloud/PowerWeChat/v3/src/officialAccount/templateMessage/request"
	"github.com/silenceper/wechat/v2/officialaccount/draft"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/stretchr/testify/require"

	"hongyan/wechat/simulator"
)

// mistake is a call by which an SDK departs from the platform's pages of today.
type mistake struct {
	name string
	path string
	code int
	call func() error
}

// refuses checks that the strict simulator refuses each of them with its code.
func (w *world) refuses(mistakes []mistake) {
	w.t.Helper()
	for _, m := range mistakes {
		err := m.call()
		require.Equal(w.t, m.code, w.lastCode(m.path), "%s: %v", m.name, err)
	}
}

func TestSilenceperIsRefusedWhatThePagesDoNotHave(t *testing.T) {
	w := newWorld(t)
	oa := silenceperAccount(true)
	id, err := w.sim.AddTemplate(appID, simulator.Template{Title: "t", Content: "{{thing1.DATA}}"})
	require.NoError(t, err)
	drafts := oa.GetDraft()
	w.refuses([]mistake{
		{"an empty mini-program beside a template message", simulator.PathTemplateSend, 40013, func() error {
			_, err := oa.GetTemplate().Send(&message.TemplateMessage{
				ToUser: w.fan, TemplateID: id, Data: map[string]*message.TemplateDataItem{"thing1": {Value: "x"}},
			})
			return err
		}},
		{"an empty mini-program beside a notice", simulator.PathNoticeSend, 40013, func() error {
			return oa.GetSubscribe().Send(&message.SubscribeMessage{ToUser: w.fan, TemplateID: id})
		}},
		{"a field that drafts do not have", simulator.PathDraftAdd, 40097, func() error {
			_, err := drafts.AddDraft([]*draft.Article{{Title: "t", Content: "c", ThumbMediaID: w.thumb()}})
			return err
		}},
		{"true for 1", simulator.PathDraftList, 47001, func() error { _, err := drafts.PaginateDraft(0, 20, true); return err }},
		{"true for 1, published", simulator.PathPublishList, 47001, func() error {
			_, err := oa.GetFreePublish().Paginate(0, 20, true)
			return err
		}},
		{"a publish_id as a number", simulator.PathPublishGet, 47001, func() error {
			_, err := oa.GetFreePublish().SelectStatus(1)
			return err
		}},
		{"a menuid as a number", simulator.PathMenuDeleteRule, 47001, func() error { return oa.GetMenu().DeleteConditional(1) }},
		{"a video's description as a file", simulator.PathMaterialAdd, 40097, func() error {
			_, _, err := oa.GetMaterial().AddVideo(w.file("a.mp4", mp4Bytes), "t", "d")
			return err
		}},
		{"cards, which are not sent any more", simulator.PathMassAll, 45113, func() error {
			_, err := oa.GetBroadcast().SendWxCard(nil, "C")
			return err
		}},
		{"short addresses, which are gone", "/cgi-bin/shorturl", 40066, func() error {
			_, err := oa.GetBasic().Long2ShortURL("https://shop.example.com/")
			return err
		}},
	})
	// A text where the SDK wants a number: nothing of the answer can be read.
	_, err = oa.GetCustomerServiceManager().List()
	require.ErrorContains(t, err, "kf_id of type int")
	require.Zero(t, w.lastCode(simulator.PathAgents))
}

func TestPowerWeChatIsRefusedWhatThePagesDoNotHave(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{LooseRequests: true}))
	app, ctx := w.powerWeChat(), t.Context()
	_, err := app.AccessToken.GetToken(ctx, false)
	require.NoError(t, err)
	require.NoError(t, w.sim.SetSwitches(simulator.Switches{})) // it has its token now and caches it
	id, err := w.sim.AddTemplate(appID, simulator.Template{Title: "t", Content: "{{thing1.DATA}}"})
	require.NoError(t, err)
	w.refuses([]mistake{
		{"a member of its own in a picture", simulator.PathSend, 40097, func() error {
			_, err := app.CustomerService.Message(ctx, messages.NewImage("MEDIA", &power.HashMap{})).SetTo(w.fan).Send(ctx)
			return err
		}},
		{"null for no mini-program", simulator.PathTemplateSend, 47001, func() error {
			_, err := app.TemplateMessage.Send(ctx, &template.RequestTemlateMessage{
				ToUser: w.fan, TemplateID: id, Data: &power.HashMap{"thing1": &power.HashMap{"value": "x"}},
			})
			return err
		}},
		{"templates by POST", simulator.PathPrivateTemplates, 43001, func() error {
			_, err := app.TemplateMessage.GetPrivateTemplates(ctx)
			return err
		}},
		{"the JS-SDK ticket by POST", simulator.PathJSTicket, 43001, func() error {
			_, err := app.JSSDK.GetTicket(ctx, false, "jsapi")
			return err
		}},
		{"a tag's id as a text", simulator.PathTagsUpdate, 47001, func() error { _, err := app.UserTag.Update(ctx, "100", "x"); return err }},
		{"a tag's id as a text, of fans", simulator.PathTagFans, 47001, func() error {
			_, err := app.UserTag.UsersOfTag(ctx, "100", "")
			return err
		}},
		{"conditions that are gone, empty", simulator.PathMenuAddRule, 65320, func() error {
			_, err := app.Menu.CreateConditional(ctx, []*menurequest.Button{{Type: "click", Name: "b", Key: "B"}},
				&menurequest.RequestMatchRule{ClientPlatformType: "2"})
			return err
		}},
		{"the number of materials by POST", simulator.PathMaterialCount, 43001, func() error { _, err := app.Material.Stats(ctx); return err }},
		{"media by POST", simulator.PathMediaGet, 43001, func() error {
			resp, err := app.Media.Get(ctx, "MEDIA")
			if err != nil {
				return err
			}
			return resp.Body.Close()
		}},
		{"agents deleted by GET", simulator.PathAgentDelete, 43002, func() error { _, err := app.CustomerService.Delete(ctx, agent); return err }},
		{"a video's description in the query", simulator.PathMaterialAdd, 40035, func() error {
			_, err := app.Material.UploadVideo(ctx, w.file("a.mp4", mp4Bytes), "t", "d")
			return err
		}},
		{"the receiver of a preview as a list", simulator.PathMassPreview, 47001, func() error {
			_, err := app.Broadcasting.PreviewText(ctx, "look", &broadcast.Reception{ToUser: []string{w.fan}}, "touser")
			return err
		}},
		{"a msg_id as a text", simulator.PathMassDelete, 47001, func() error { _, err := app.Broadcasting.Delete(ctx, "1", 0); return err }},
	})
}

// An SDK that was refused a token asks for a new one and repeats the call, without its body.
func TestPowerWeChatLosesTheBodyOfACallThatItRepeats(t *testing.T) {
	w := loose(t)
	app := w.powerWeChat()
	_, err := app.User.List(t.Context(), "")
	require.NoError(t, err)
	require.NoError(t, w.sim.Supersede(appID))
	list, err := app.User.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, 1, list.Total)
	require.NoError(t, w.sim.Supersede(appID))
	_, err = app.User.Remark(t.Context(), w.fan, "老友")
	require.ErrorContains(t, err, "EOF")
}
