// Image files: what they decode to, in every format, and area averaging.
#include <string>
#include <vector>

#include "complaints.h"
#include "data_image.h"
#include "image_files.h"

using namespace distill;
using namespace distill::testing;

TEST_SUITE_BEGIN("no kernels");

TEST_CASE("image: area averaging is the exact mean of what a pixel covers") {
    Image image{2, 4, {}};
    for (int i = 0; i < 8; ++i)
        for (int c = 0; c < 3; ++c) image.pixels.push_back(uint8_t(10 * i + c));
    std::vector<uint8_t> planes(3 * 4);
    resize_to_planes(image, 2, planes.data());  // 4 wide to 2: pairs; 2 high to 2: as it is
    CHECK(planes == std::vector<uint8_t>{5, 25, 45, 65, 6, 26, 46, 66, 7, 27, 47, 67});
    planes.resize(3);
    resize_to_planes(image, 1, planes.data());
    CHECK(planes == std::vector<uint8_t>{35, 36, 37});

    Image row{3, 3, {}};  // 3 to 2 cuts the middle pixel in halves: (2*0 + 90)/3 = 30 and (90 + 2*30)/3 = 50
    for (int y = 0; y < 3; ++y)
        for (const int value : {0, 90, 30}) row.pixels.insert(row.pixels.end(), 3, uint8_t(value));
    planes.resize(12);
    resize_to_planes(row, 2, planes.data());
    CHECK(std::vector<uint8_t>(planes.begin(), planes.begin() + 4) == std::vector<uint8_t>{30, 50, 30, 50});

    planes.resize(3 * 9);
    resize_to_planes(row, 3, planes.data());  // the same size: the same bytes
    CHECK(std::vector<uint8_t>(planes.begin(), planes.begin() + 3) == std::vector<uint8_t>{0, 90, 30});
    planes.resize(3 * 36);
    resize_to_planes(row, 6, planes.data());  // larger: each pixel twice
    CHECK(std::vector<uint8_t>(planes.begin(), planes.begin() + 6) == std::vector<uint8_t>{0, 0, 90, 90, 30, 30});
}

TEST_CASE("image: PNG, BMP, PPM and PGM decode exactly, JPEG nearly; grey becomes three channels, alpha goes") {
    const TempFolder folder;
    const std::vector<uint8_t> rgb = gradient(7, 5, 3, 9);
    put_png(folder / "rgb.png", 7, 5, 3, 9);
    const Image png = load_image(folder / "rgb.png");
    CHECK(png.width == 7);
    CHECK(png.height == 5);
    CHECK(png.pixels == rgb);
    REQUIRE(stbi_write_bmp((folder / "rgb.bmp").c_str(), 7, 5, 3, rgb.data()));
    CHECK(load_image(folder / "rgb.bmp").pixels == rgb);
    put_file(folder / "rgb.ppm", "P6 7 5 255\n" + std::string(rgb.begin(), rgb.end()));
    CHECK(load_image(folder / "rgb.ppm").pixels == rgb);
    put_file(folder / "grey.pgm", "P5 1 2 255\n\x11\x22");
    CHECK(load_image(folder / "grey.pgm").pixels == std::vector<uint8_t>{0x11, 0x11, 0x11, 0x22, 0x22, 0x22});
    put_png(folder / "grey.png", 3, 3, 1, 5);
    CHECK(load_image(folder / "grey.png").pixels[5] == gradient(3, 3, 1, 5)[1]);
    put_png(folder / "alpha.png", 2, 2, 4, 0);
    CHECK(load_image(folder / "alpha.png").pixels == std::vector<uint8_t>{0, 40, 80, 3, 43, 83, 5, 45, 85, 8, 48, 88});
    const Image jpeg = load_image(golden("gradient.jpg"));
    REQUIRE(jpeg.pixels.size() == 40 * 40 * 3);
    int worst = 0;
    for (int i = 0; i < 4800; ++i) {
        const int x = i / 3 % 40, y = i / 120, c = i % 3;
        worst = std::max(worst, std::abs(20 + 3 * x + 2 * y + 10 * c - int{jpeg.pixels[size_t(i)]}));
    }
    CHECK(worst < 8);
}

TEST_CASE("image: a file cut at any byte is an error, in every format") {
    const TempFolder folder;
    const std::vector<uint8_t> rgb = gradient(40, 40, 3, 9);
    put_jpeg(folder / "whole.jpg");
    put_png(folder / "whole.png", 40, 40, 3, 9);
    REQUIRE(stbi_write_bmp((folder / "whole.bmp").c_str(), 40, 40, 3, rgb.data()));
    put_file(folder / "whole.ppm", "P6 40 40 255\n" + std::string(rgb.begin(), rgb.end()));
    for (const std::string kind : {"jpg", "png", "bmp", "ppm"}) {
        const std::string bytes = read_file(folder / ("whole." + kind));
        CHECK(load_image(folder / ("whole." + kind)).pixels.size() == rgb.size());
        for (size_t cut = 0; cut < bytes.size(); cut += 1 + bytes.size() / 300) {
            put_file(folder / "cut", bytes.substr(0, cut));
            CAPTURE(kind);
            CAPTURE(cut);
            CHECK_THROWS_AS(load_image(folder / "cut"), InputError);
        }
        put_file(folder / "cut", bytes.substr(0, bytes.size() - 1));
        CHECK_THROWS_AS(load_image(folder / "cut"), InputError);
        put_file(folder / "more", bytes + "junk");
        CHECK(load_image(folder / "more").pixels.size() == rgb.size());
    }
}

TEST_SUITE_END();
