package wechat_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"hongyan/internal/fault"
	"hongyan/wechat"
	"hongyan/wechat/simulator"
)

func TestAConditionalMenuGoesOutAsDocumented(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	rule := wechat.MatchRule{TagID: 2, Platform: wechat.PlatformAndroid}
	_, err := w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu("n"), rule)
	requireCode(t, 65303, err)
	require.Equal(t, []string{
		`{"button":[{"type":"click","name":"n","key":"k"}],"matchrule":{"tag_id":"2","client_platform_type":"2"}}`,
	}, w.bodies(simulator.PathMenuAddRule))
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, clickMenu("n")))
	id, err := w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu("n"), rule)
	require.NoError(t, err)
	require.NoError(t, w.client.DeleteConditionalMenu(t.Context(), w.acc, id))
	require.Equal(t, `{"menuid":"`+id+`"}`, w.calls(simulator.PathMenuDeleteRule)[0].Body)
	requireCode(t, 65301, w.client.DeleteConditionalMenu(t.Context(), w.acc, id))
	requireBadField(t, "menuid", "required", w.client.DeleteConditionalMenu(t.Context(), w.acc, ""))

	calls := len(w.calls(simulator.PathMenuAddRule))
	for _, c := range []struct {
		rule         wechat.MatchRule
		field, broke string
	}{
		{wechat.MatchRule{}, "matchrule", "required"},
		{wechat.MatchRule{TagID: -1}, "matchrule.tag_id", "range"},
		{wechat.MatchRule{Platform: 4}, "matchrule.client_platform_type", "range"},
		{wechat.MatchRule{Platform: -1}, "matchrule.client_platform_type", "range"},
	} {
		_, err = w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu("n"), c.rule)
		requireBadField(t, c.field, c.broke, err)
	}
	require.Len(t, w.calls(simulator.PathMenuAddRule), calls)
}

func TestTheLinksOfAConditionalMenuLeadToThreeDomainsAndNotMore(t *testing.T) {
	t.Parallel()
	w := menuWorld(t, simulator.Switches{})
	links := func(hosts ...string) []wechat.MenuButton {
		menu := []wechat.MenuButton{{Name: "n"}}
		for _, host := range hosts {
			menu[0].Sub = append(menu[0].Sub, wechat.MenuButton{Type: wechat.ButtonView, Name: "n", URL: "https://" + host + "/"})
		}
		return menu
	}
	rule := wechat.MatchRule{Platform: wechat.PlatformIOS}
	_, err := w.client.AddConditionalMenu(t.Context(), w.acc, links("a.b", "b.c", "a.b", "c.d:443", "c.d"), rule)
	require.NoError(t, err)
	four := links("a.b", "b.c", "c.d", "d.e")
	_, err = w.client.AddConditionalMenu(t.Context(), w.acc, four, rule)
	requireBadField(t, "button", "domains", err)
	require.Equal(t, 65316, w.code(wire{
		method: http.MethodPost, path: simulator.PathMenuAddRule, body: menuBody(t, four, `{"tag_id":"2"}`),
	}))
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, four), "the default menu is not bounded")
}

func TestASwitchBoundsHowManyConditionalMenusThereAre(t *testing.T) {
	t.Parallel()
	w := menuWorld(t, simulator.Switches{ConditionalMenus: 2})
	for range 2 {
		_, err := w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu("n"), wechat.MatchRule{TagID: 2})
		require.NoError(t, err)
	}
	_, err := w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu("n"), wechat.MatchRule{TagID: 2})
	requireCode(t, 65305, err)
}

func TestTheNewestMatchingMenuIsSeen(t *testing.T) {
	t.Parallel()
	w := menuWorld(t, simulator.Switches{})
	fans, err := w.sim.AddFans(w.acc.AppID, 4, true)
	require.NoError(t, err)
	tags := make([]int64, 2)
	for i := range tags {
		tag, err := w.client.CreateTag(t.Context(), w.acc, fmt.Sprintf("tag %d", i))
		require.NoError(t, err)
		tags[i] = int64(tag.ID)
		// Both fans have the first tag; fans[1] gets the second one later.
		_, err = w.client.AddTag(t.Context(), w.acc, tag.ID, fans[i:2])
		require.NoError(t, err)
	}
	require.NoError(t, w.sim.SetClient(fans[0], wechat.PlatformIOS))
	require.NoError(t, w.sim.SetClient(fans[2], wechat.PlatformIOS))
	for _, m := range []struct {
		name string
		rule wechat.MatchRule
	}{
		{"first tag", wechat.MatchRule{TagID: tags[0]}},
		{"second tag", wechat.MatchRule{TagID: tags[1]}},
		{"iOS", wechat.MatchRule{Platform: wechat.PlatformIOS}},
		{"tag on iOS", wechat.MatchRule{TagID: tags[0], Platform: wechat.PlatformIOS}},
		{"tag Android", wechat.MatchRule{TagID: tags[0], Platform: wechat.PlatformAndroid}},
	} {
		_, err := w.client.AddConditionalMenu(t.Context(), w.acc, clickMenu(m.name), m.rule)
		require.NoError(t, err)
	}
	for i, want := range []string{"tag on iOS", "second tag", "iOS", "默认"} {
		buttons, err := w.client.TryMatchMenu(t.Context(), w.acc, fans[i])
		require.NoError(t, err)
		require.Equal(t, want, buttons[0].Name)
		seen, err := w.sim.MenuOf(fans[i])
		require.NoError(t, err)
		require.Equal(t, withoutLists(buttons), seen.Buttons)
		require.Equal(t, want != "默认", seen.Conditional)
		require.NotZero(t, seen.MenuID)
	}
	require.Equal(t, `{"user_id":"`+fans[0]+`"}`, w.calls(simulator.PathMenuTryMatch)[0].Body)
	menus, err := w.client.Menus(t.Context(), w.acc)
	require.NoError(t, err)
	require.Equal(t, "tag Android", menus.Conditional[0].Buttons[0].Name, "the newest is first")
	_, err = w.client.TryMatchMenu(t.Context(), w.acc, "")
	requireBadField(t, "user_id", "required", err)
}

func TestWithoutAMenuNobodySeesOne(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{})
	fan := w.writer()
	_, err := w.client.TryMatchMenu(t.Context(), w.acc, fan)
	requireCode(t, 46003, err)
	_, err = w.client.TryMatchMenu(t.Context(), w.acc, "nobody")
	requireCode(t, 65302, err)
	require.NoError(t, w.sim.AddAccount(simulator.Account{AppID: foreignAppID, Secret: "s"}))
	others, err := w.sim.AddFans(foreignAppID, 1, true)
	require.NoError(t, err)
	_, err = w.client.TryMatchMenu(t.Context(), w.acc, others[0])
	requireCode(t, 65302, err)
	_, err = w.sim.MenuOf(fan)
	require.True(t, fault.Is(err, fault.NotFound))
	_, err = w.sim.MenuOf("nobody")
	require.True(t, fault.Is(err, fault.NotFound))
	require.True(t, fault.Is(w.sim.SetClient("nobody", wechat.PlatformIOS), fault.NotFound))
	require.True(t, fault.Is(w.sim.SetClient(fan, 0), fault.Invalid))
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, clickMenu("n")))
	_, err = w.sim.Click(t.Context(), fan, "a key of an older menu")
	require.NoError(t, err)
}

func TestMaterialThatAMenuShowsCannotBeDeleted(t *testing.T) {
	t.Parallel()
	w := newStoreWorld(t, simulator.Switches{StrictMedia: true})
	material := func(kind wechat.MediaType) string {
		ids, err := w.sim.AddWebsiteMaterial(w.acc.AppID, kind, 1)
		require.NoError(t, err)
		return ids[0]
	}
	shows := func(kind wechat.ButtonType, id string) []wechat.MenuButton {
		return []wechat.MenuButton{{Name: "n", Sub: []wechat.MenuButton{{Type: kind, Name: "n", MediaID: id}}}}
	}
	image, news, thumb := material(wechat.MediaImage), material(wechat.MaterialNews), material(wechat.MediaThumb)
	up, err := w.client.UploadMedia(t.Context(), w.acc, wechat.MediaImage, wechat.File{Body: []byte(pngHead)})
	require.NoError(t, err)
	for _, id := range []string{up.MediaID, thumb, news, "unknown"} {
		requireCode(t, 40007, w.client.CreateMenu(t.Context(), w.acc, shows(wechat.ButtonMedia, id)))
	}
	requireCode(t, 40007, w.client.CreateMenu(t.Context(), w.acc, shows(wechat.ButtonViewLimited, image)))
	require.NoError(t, w.client.CreateMenu(t.Context(), w.acc, shows(wechat.ButtonMedia, image)))
	_, err = w.client.AddConditionalMenu(t.Context(), w.acc, shows(wechat.ButtonViewLimited, news), wechat.MatchRule{TagID: 2})
	require.NoError(t, err)
	requireCode(t, 48005, w.client.DeleteMaterial(t.Context(), w.acc, image))
	requireCode(t, 48005, w.client.DeleteMaterial(t.Context(), w.acc, news))
	require.NoError(t, w.client.DeleteMenus(t.Context(), w.acc))
	require.NoError(t, w.client.DeleteMaterial(t.Context(), w.acc, image))
	requireCode(t, 40007, w.client.CreateMenu(t.Context(), w.acc, shows(wechat.ButtonMedia, image)))
}
