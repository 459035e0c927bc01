package simulator

import (
	"fmt"
	"strings"
)

// libraryTemplate is a category template of the public library, for messages and for notices.
type libraryTemplate struct {
	tid      int
	title    string
	category int
	longTerm bool // as a notice
	keywords []libraryKeyword
}

type libraryKeyword struct {
	kid                 int
	name, rule, example string
	enum                []string
}

// libraryCategory is a line of business of the library; an account has some of them.
type libraryCategory struct {
	id   int
	name string
}

const maxCategories = 5

func allCategories() []libraryCategory {
	return []libraryCategory{{616, "线下零售"}, {307, "培训机构"}, {303, "餐饮服务"}, {402, "文化场馆"}, {511, "汽车服务"}, {2, "公交"}}
}

// freshCategories are those that an account has until SetCategories changes them.
func freshCategories() []int { return []int{616, 307, 303} }

// templateLibrary is invented; titles and keywords are of the platform's kind. It is in the order in which the
// platform lists it.
func templateLibrary() []libraryTemplate {
	return []libraryTemplate{
		{43216, "订单发货通知", 616, false, []libraryKeyword{
			{1, "商品名称", "thing", "有机燕麦 500g", nil}, {2, "发货时间", "time", "2026年1月2日 15:04", nil},
			{3, "快递单号", "character_string", "SF1234567890", nil}, {4, "快递公司", "thing", "顺丰速运", nil},
			{5, "商品数量", "number", "2", nil},
		}},
		{43874, "付款成功通知", 616, false, []libraryKeyword{
			{1, "付款金额", "amount", "¥128.50", nil}, {2, "付款时间", "date", "2026年1月2日", nil},
			{3, "订单状态", "phrase", "已付款", nil}, {4, "付款方式", "const", "微信支付", []string{"微信支付", "储值卡", "现金"}},
		}},
		{45301, "会员积分变动提醒", 616, false, []libraryKeyword{
			{1, "变动原因", "thing", "购物满额", nil}, {2, "变动积分", "number", "120", nil}, {3, "会员卡号", "character_string", "VIP0001", nil},
		}},
		{46823, "课程预约成功通知", 307, false, []libraryKeyword{
			{1, "课程名称", "thing", "亲子烘焙", nil}, {2, "上课时间", "time", "2026年1月3日 10:00~11:30", nil},
			{3, "预约人", "name", "王小明", nil}, {4, "联系电话", "phone_number", "138-0013-8000", nil},
		}},
		{46902, "作业批改提醒", 307, false, []libraryKeyword{
			{1, "作业名称", "thing", "第三单元", nil}, {2, "成绩等级", "letter", "A", nil}, {3, "评语", "symbol", "★★★", nil},
		}},
		{47115, "排队叫号提醒", 303, false, []libraryKeyword{
			{1, "门店名称", "thing", "江边店", nil}, {2, "排队号码", "character_string", "B012", nil}, {3, "等待桌数", "number", "3", nil},
		}},
		{48010, "展览开放通知", 402, false, []libraryKeyword{
			{1, "展览名称", "thing", "山水之间", nil}, {2, "开放时间", "time", "9:00~17:00", nil},
		}},
		{48533, "车辆保养提醒", 511, false, []libraryKeyword{
			{1, "车牌号", "car_number", "粤A8Z888挂", nil}, {2, "到期日期", "date", "2026年3月1日", nil},
		}},
		{49001, "公交到站提醒", 2, true, []libraryKeyword{
			{1, "线路", "thing", "18 路", nil}, {2, "方向", "enum_string", "上行", []string{"上行", "下行"}}, {3, "到站时间", "time", "15:01", nil},
		}},
	}
}

func libraryTemplateOf(tid int) (libraryTemplate, bool) {
	for _, t := range templateLibrary() {
		if t.tid == tid {
			return t, true
		}
	}
	return libraryTemplate{}, false
}

// take makes a private template of the wanted keywords, without an id.
func (t *libraryTemplate) take(keywords []libraryKeyword) *privateTemplate {
	out := &privateTemplate{category: t.category}
	out.Title, out.LongTerm = t.title, t.longTerm
	var content, example strings.Builder
	for _, k := range keywords {
		key := fmt.Sprintf("%s%d", k.rule, k.kid)
		fmt.Fprintf(&content, "%s:{{%s.DATA}}\n", k.name, key)
		fmt.Fprintf(&example, "%s:%s\n", k.name, k.example)
		if k.enum != nil {
			out.enums = append(out.enums, keywordEnum{key, k.enum})
		}
	}
	out.Content, out.Example = content.String(), example.String()
	return out
}

// industries lists the platform's industries in the order of their numbers, from 1.
func industries() []string {
	return []string{
		"IT科技/互联网|电子商务", "IT科技/IT软件与服务", "IT科技/IT硬件与设备", "IT科技/电子技术", "IT科技/通信与运营商", "IT科技/网络游戏",
		"金融业/银行", "金融业/基金|理财|信托", "金融业/保险", "餐饮/餐饮", "酒店旅游/酒店", "酒店旅游/旅游",
		"运输与仓储/快递", "运输与仓储/物流", "运输与仓储/仓储", "教育/培训", "教育/院校", "政府与公共事业/学术科研", "政府与公共事业/交警",
		"政府与公共事业/博物馆", "政府与公共事业/公共事业|非盈利机构", "医药护理/医药医疗", "医药护理/护理美容", "医药护理/保健与卫生",
		"交通工具/汽车相关", "交通工具/摩托车相关", "交通工具/火车相关", "交通工具/飞机相关", "房地产/建筑", "房地产/物业", "消费品/消费品",
		"商业服务/法律", "商业服务/会展", "商业服务/中介服务", "商业服务/认证", "商业服务/审计", "文体娱乐/传媒", "文体娱乐/体育",
		"文体娱乐/娱乐休闲", "印刷/印刷", "其它/其它",
	}
}
