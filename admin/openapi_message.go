package admin

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"hongyan/wechat"
)

// message is a wechat.Message as JSON holds it, which its fields in Go do not tell.
type message struct {
	MsgType         string                   `json:"msgtype" enum:"text,image,voice,video,music,news,mpnews,mpnewsarticle,msgmenu,wxcard,miniprogrampage" doc:"Which of the fields below holds the content"`
	Text            *wechat.Text             `json:"text,omitempty"`
	Image           *wechat.Media            `json:"image,omitempty"`
	Voice           *wechat.Media            `json:"voice,omitempty"`
	Video           *wechat.Video            `json:"video,omitempty"`
	Music           *wechat.Music            `json:"music,omitempty"`
	News            *wechat.News             `json:"news,omitempty"`
	MPNews          *wechat.Media            `json:"mpnews,omitempty"`
	MPNewsArticle   *wechat.PublishedArticle `json:"mpnewsarticle,omitempty"`
	Menu            *wechat.Menu             `json:"msgmenu,omitempty"`
	Card            *wechat.Card             `json:"wxcard,omitempty"`
	MiniProgramPage *wechat.MiniProgramPage  `json:"miniprogrampage,omitempty"`
	Service         *struct {
		KfAccount string `json:"kf_account"`
	} `json:"customservice,omitempty" doc:"The agent whose name and picture the fan sees"`
	AI *struct {
		IsAI int `json:"is_ai_msg" enum:"0,1"`
	} `json:"aimsgcontext,omitempty" doc:"1 shows the platform's mark for what an AI wrote"`
	BusinessID int64 `json:"businessid,omitempty" doc:"Of accounts with several businesses"`
}

// describeMessages lets the document describe messages as they are written.
func describeMessages(schemas huma.Registry) {
	schemas.RegisterTypeAlias(reflect.TypeFor[wechat.Message](), reflect.TypeFor[message]())
}
